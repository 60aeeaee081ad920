import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";

const SWITCH = "/proc/sys/net/ipv4/ip_forward";
/** Gone with the next boot, as what it says is. */
const RECORD = "/run/berth-ip-forward";

/** Whether this host forwards between its network devices already, other than for us. */
export function forwardedBefore(): boolean {
	return !existsSync(RECORD) && readFileSync(SWITCH, "utf8").trim() === "1";
}

/** Has the host forward; that it didn't before is written down for whoever ends last. */
export function turnOnForwarding(): void {
	if (forwardedBefore()) return;
	writeFileSync(RECORD, "");
	writeFileSync(SWITCH, "1");
}

/** As it was before. @param isNeeded by another stack of this machine */
export function restoreForwarding(isNeeded: boolean): void {
	if (isNeeded || !existsSync(RECORD)) return;
	writeFileSync(SWITCH, "0");
	rmSync(RECORD, { force: true });
}
