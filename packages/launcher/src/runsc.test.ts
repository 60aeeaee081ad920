import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HostError } from "./host-error.js";
import { GVISOR } from "./oci-runtime.js";
import { probeRunsc } from "./runsc.js";

let directory: string;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "berth-runsc-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

function program(text: string): string {
	const path = join(directory, "runsc");
	writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
	return path;
}

test("gVisor is known by what it says of itself, of either kind of its versions", () => {
	for (const said of ["0.0~20221219.0", "release-20221219.0"]) {
		const path = program(`echo "runsc version ${said}"; echo "spec: 1.0.2"`);
		expect(probeRunsc(path)).toEqual({ path, report: { version: said.replace("release-", "") } });
	}
});

test("what was named and isn't there, or isn't gVisor, doesn't go unsaid; who wants none has none", () => {
	expect(() => probeRunsc(join(directory, "nowhere"))).toThrow(HostError);
	for (const text of ["echo crun version 1.8.1", "exit 1"]) expect(() => probeRunsc(program(text))).toThrow("isn't gVisor's runsc");
	expect(probeRunsc("none")).toEqual({ report: { missing: "BERTH_RUNSC is none" } });
});

test("of its log the first thing that went wrong is why a container couldn't be had", () => {
	const log = `{"msg":"mounting \\"/a\\" failed","level":"error"}{"msg":"cannot read client sync file: EOF","level":"error"}`;
	expect(GVISOR.reason(log)).toBe(`"mounting \\"/a\\" failed"`);
	expect(GVISOR.reason("")).toBeUndefined();
});
