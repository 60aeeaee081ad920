import type { SourceFile } from "./source-files.js";

/** ELF's `e_machine` of the processors that there are nodes for (System V ABI). */
const MACHINES: Readonly<Record<string, { readonly machine: number; readonly name: string }>> = {
	x64: { machine: 62, name: "x86-64" },
	arm64: { machine: 183, name: "AArch64" },
};
const ELF = Buffer.from("\x7fELF", "latin1");
const MACHINE_AT = 18;
const EXAMPLE = "a script begins with a line as `#!/bin/sh`, and a binary is ELF";

/** Why a file can't be started here, in a sentence; undefined when nothing speaks against it. */
export function wrongProgram({ path, bytes }: SourceFile, arch: string = process.arch): string | undefined {
	const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, 64));
	const expected = MACHINES[arch];
	if (head.subarray(0, ELF.length).equals(ELF)) {
		if (head.length < MACHINE_AT + 2 || expected === undefined) return undefined;
		const machine = head.readUInt16LE(MACHINE_AT);
		if (machine === expected.machine) return undefined;
		const found = Object.values(MACHINES).find((one) => one.machine === machine)?.name ?? `machine ${machine} of ELF`;
		return `${path} is a program for ${found}; this node's processor is ${expected.name}.`;
	}
	if (head.toString("latin1", 0, 2) !== "#!") return `${path} is no program that can be started: ${EXAMPLE}.`;
	const first = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(10);
	const line = Buffer.from(bytes.buffer, bytes.byteOffset, first < 0 ? bytes.byteLength : first);
	if (line.includes(13)) return `${path} has Windows line ends, so its interpreter isn't found; save it with Unix ones.`;
	return undefined;
}
