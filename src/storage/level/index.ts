export { createLevelDatabase, levelDatabaseIsEmpty, openLevelDatabase } from './level-database.js';
