export const LONG: readonly string[];
export const SLOW: readonly string[];
export const PATIENT: readonly string[];
export const BUSY: string;
