import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { GuestParts } from "./debian.js";

/** A machine to start. */
export interface GuestSpec {
	readonly parts: GuestParts;
	readonly initramfs: string;
	/** Its disk; what the guest writes there is thrown away with it. */
	readonly image: string;
	/** Receives what its kernel and init print. */
	readonly console: string;
	readonly memoryMiB: number;
	/** What its first process starts when cgroups are mounted, with the runtime's and the checks' names. */
	readonly program: string;
	/** How cgroups are mounted in it; `nested` is v2 as a container sees it. */
	readonly cgroups: "v1" | "v2" | "nested";
	readonly runtime: "crun" | "runc";
	/** Which checks it runs, by their names in `test/guest/main.ts`. */
	readonly checks: readonly string[];
	/** After this it is ended, milliseconds. */
	readonly boundMs: number;
}

/** Without what V8 and the C library would use for speed, and takes longer where it is emulated: a quarter of all (70 s of CPU, and 53 so). */
const CPU = "max,avx=off,avx2=off,bmi1=off,bmi2=off";

/**
 * A machine in software emulation, which needs neither KVM nor any right. Whoever made it disposes of it.
 * Its checks print one JSON document a line on its second serial line; its console goes to a file.
 */
export class Guest implements AsyncDisposable {
	readonly #child: ChildProcess;
	readonly #bound: NodeJS.Timeout;
	readonly #ended: Promise<unknown>;

	constructor(spec: GuestSpec) {
		this.#child = spawn("setpriv", ["--pdeathsig", "KILL", "--", "nice", "-n", "10", spec.parts.emulator, ...argumentsOf(spec)], {
			stdio: ["ignore", "pipe", "inherit"],
		});
		this.#ended = once(this.#child, "exit");
		this.#bound = setTimeout(() => this.#child.kill("SIGKILL"), spec.boundMs);
	}

	/** What its checks say, until it turns itself off or its time is over. */
	async *lines(): AsyncGenerator<Record<string, unknown>> {
		for await (const line of createInterface({ input: this.#child.stdout as NodeJS.ReadableStream })) {
			if (line.startsWith("{")) yield JSON.parse(line) as Record<string, unknown>;
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		clearTimeout(this.#bound);
		if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill("SIGKILL");
		await this.#ended;
	}
}

function argumentsOf({ parts, initramfs, image, console, memoryMiB, program, cgroups, runtime, checks }: GuestSpec): readonly string[] {
	const kernelLine = [
		"console=ttyS0",
		"quiet",
		"panic=-1",
		"mitigations=off",
		`program=${program}`,
		`cgroups=${cgroups}`,
		`runtime=${runtime}`,
		`checks=${checks.join()}`,
	];
	return [
		...["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", CPU, "-smp", "2", "-m", String(memoryMiB)],
		...["-display", "none", "-nodefaults", "-no-user-config", "-no-reboot"],
		...["-kernel", parts.kernel, "-initrd", initramfs, "-append", kernelLine.join(" ")],
		...["-drive", `file=${image},if=virtio,format=raw,snapshot=on`],
		...["-chardev", `file,id=console,path=${console}`, "-serial", "chardev:console", "-serial", "stdio"],
	];
}
