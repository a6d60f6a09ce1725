export { type MembersGroup, MemberUpkeep, type Speaker } from './member-upkeep.js';
