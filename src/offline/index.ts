export { type BackupRun, type BackupSummary, backUp, verifyBackup } from './backup.js';
export { inspectSurvivor, recoverSurvivor, type SurvivingStream, type Survivor } from './recover.js';
export { type Restored, type RestorePoint, restoreFrom } from './restore.js';
export * from './stopped-nodes.js';
