// The public list, as it reads for a user: import { DiskLog, Journal } from "@sluice/disk"
export * as DiskLog from "./DiskLog.ts"
export * as Journal from "./Journal.ts"
export * as Storage from "./Storage.ts"
