import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { makeFifo, SyscallError } from "./syscalls.js";

test("a call that fails says why by the error's name, whatever names are in its path", () => {
	const directory = mkdtempSync(join(tmpdir(), "EINVAL-"));
	onTestFinished(() => rmSync(directory, { recursive: true }));
	makeFifo(join(directory, "fifo"), 0o600);
	const codeOf = (path: string) => {
		try {
			makeFifo(path, 0o600);
			return undefined;
		} catch (error) {
			return error instanceof SyscallError ? error.code : error;
		}
	};
	expect([codeOf(join(directory, "fifo")), codeOf(join(directory, "none", "fifo"))]).toEqual(["EEXIST", "ENOENT"]);
});
