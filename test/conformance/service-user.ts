/** Whom a worker is, of a stack and here. */
export const SERVICE_UID = 64_770;

/** This process has a worker's rights from now on, and no others; or all of them again. */
export function become(who: "worker" | "root"): void {
	if (who === "root") process.seteuid?.(0);
	process.setegid?.(who === "root" ? 0 : SERVICE_UID);
	if (who === "worker") process.seteuid?.(SERVICE_UID);
}
