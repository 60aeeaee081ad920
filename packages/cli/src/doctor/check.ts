import type { WaivableLimit } from "@berth/contracts";
import { messageOf } from "../system-errors.js";

/** How a check ended. `warning`: it works, but something can be lost or is slow; `failed`: the stack won't start, or won't hold its limits. */
export type CheckStatus = "ok" | "warning" | "failed";

/** One thing of the machine that was looked at. */
export interface Check {
	/** Short and fixed: programs look it up. */
	readonly name: string;
	readonly status: CheckStatus;
	/** What was found, in one sentence. */
	readonly found: string;
	/** What to do about it; present unless all is well. */
	readonly mend?: string;
}

export const ok = (name: string, found: string): Check => ({ name, status: "ok", found });
export const warning = (name: string, found: string, mend: string): Check => ({ name, status: "warning", found, mend });
export const failed = (name: string, found: string, mend: string): Check => ({ name, status: "failed", found, mend });

/** How to mend it, and how to do without the limit. */
export const orWithout = (limit: WaivableLimit, mend: string): string =>
	`${mend.replace(/\.$/, "")}; or, should you trust every function, berth up --insecure-allow=${limit}.`;

/** Whether the stack can run: nothing that it needs is missing. */
export function allNeededThere(checks: readonly Check[]): boolean {
	return checks.every(({ status }) => status !== "failed");
}

/** What a part finds; one that itself fails is a failed check. */
export async function attempt(part: () => Promise<readonly Check[]>): Promise<readonly Check[]> {
	try {
		return await part();
	} catch (error) {
		return [
			failed("doctor", `Something couldn't be looked at: ${messageOf(error)}.`, "Run it as root; if it stays, it is a bug: report it."),
		];
	}
}
