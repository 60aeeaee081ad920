import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ServiceManager } from "./service-manager.js";

/** As systemd does: the sender is who the kernel says; what comes beside the second datagram, the barrier's descriptor, is closed. */
const RECEIVER = `
import socket, struct, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
    there.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    there.bind(sys.argv[1])
    text, [(_, _, credentials)], _, _ = there.recvmsg(4096, 64)
    there.recv(4096)
    print(struct.unpack("3i", credentials)[0], text.decode().replace("\\n", " "), flush=True)
`;

let directory: string;
let socket: string;
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "berth-notify-"));
	socket = join(directory, "notify");
});
afterEach(() => rm(directory, { recursive: true }));

test("systemd hears that a service is ready, and where, from its main process", async () => {
	const receiver = spawn("python3", ["-c", RECEIVER, socket], { stdio: ["ignore", "pipe", "inherit"] });
	try {
		await vi.waitUntil(() => existsSync(socket), { timeout: 10_000 });
		const complaints: string[] = [];
		const heard = text(receiver.stdout);
		await new ServiceManager((complaint) => complaints.push(complaint), socket).tell("--ready", "--status=http://127.0.0.1:8080");
		expect([await heard, complaints]).toEqual([`${process.pid} READY=1 STATUS=http://127.0.0.1:8080\n`, []]);
	} finally {
		receiver.kill();
	}
});

test("that it can't be told is said, and is no reason to fail", async () => {
	const complaints: string[] = [];
	await new ServiceManager((complaint) => complaints.push(complaint), socket).tell("--ready");
	expect(complaints).toEqual([expect.stringMatching(/^systemd isn't told \(systemd-notify --ready\): ./)]);
});

test("without a service manager nothing is done", async () => {
	const complaints: string[] = [];
	await new ServiceManager((complaint) => complaints.push(complaint), undefined).tell("--ready");
	expect(complaints).toEqual([]);
});
