import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const UNITS = fileURLToPath(new URL("../../infra/systemd", import.meta.url));

/** Our unit, for Berth in another place than the one that it names. */
export function unitFor(place: string): string {
	return readFileSync(join(UNITS, "berth.service"), "utf8").replaceAll("/opt/berth", place.replace(/\/$/, ""));
}

/** What the stack has of root's capabilities as that service, as setpriv(1) calls them. */
export function capabilitiesOfUnit(): readonly string[] {
	return [...unitFor("/").matchAll(/^CapabilityBoundingSet=(.*)$/gm)]
		.flatMap(([, names = ""]) => names.split(" "))
		.map((name) => name.replace(/^CAP_/, "").toLowerCase());
}
