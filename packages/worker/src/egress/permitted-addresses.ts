import { networkInterfaces } from "node:os";
import { isPublicAddress } from "@berth/contracts";
import type { Addresses } from "./known-addresses.js";

const NOT_PUBLIC = "it leads to an address that isn't public";
const OURS = "it leads to this host";

/** What was looked up, unless one of it is nobody's to be led to. @param own this host's, which are public at times */
export function permitted(found: readonly string[] | "refused", own = ownAddresses()): Addresses {
	if (found === "refused" || !found.every(isPublicAddress)) return { against: NOT_PUBLIC };
	return found.some((address) => own.includes(address)) ? { against: OURS } : found;
}

function ownAddresses(): readonly string[] {
	return Object.values(networkInterfaces()).flatMap((each) => each?.map(({ address }) => address) ?? []);
}
