import { accessSync, constants } from "node:fs";

const SEARCH = ["/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin", "/bin", "/sbin"];

/** The first of these programs that is there: a path, or names that are looked for where programs of the system are. */
export function findExecutable(wanted: readonly string[]): string | undefined {
	return wanted.flatMap((one) => (one.startsWith("/") ? [one] : SEARCH.map((dir) => `${dir}/${one}`))).find(isExecutable);
}

function isExecutable(path: string): boolean {
	try {
		accessSync(path, constants.X_OK);
		return true;
	} catch {
		return false;
	}
}
