import { readFileSync } from "node:fs";
import { unmount } from "../syscalls.js";

/** What a launcher beside a Docker Engine mounts on the host, in whatever data directory. */
const THEIRS = /\/launcher\/(?:volumes\/[0-9a-f]{32}|containers\/sb_[0-9a-z]{26}\/mnt\/[^/]+)$/;

/** Mount points that this process sees, in the order in which they were made (proc(5), mountinfo). */
export function mountPoints(isMeant: (place: string) => boolean): readonly string[] {
	return readFileSync("/proc/self/mountinfo", "utf8")
		.split("\n")
		.map((line) => line.split(" ")[4] ?? "")
		.filter(isMeant);
}

/** A mount namespace of one's own begins with copies of everything: a volume of another stack's couldn't be let go of while we have one. */
export function letGoOfOthersVolumes(): void {
	for (const place of mountPoints((each) => THEIRS.test(each)).toReversed()) unmount(place);
}
