import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const BUILT = new URL("../dist/index.js", import.meta.url).href;

/** Run where the one resolver takes what it is asked and says nothing; prints which of the two was first. */
const SCRIPT = `
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { lookup } from "node:dns/promises";
import { Bucket } from ${JSON.stringify(BUILT)};
const silent = createSocket("udp4");
silent.bind(53, "127.0.0.53");
await once(silent, "listening");
const place = { endpoint: "http://bucket.example", region: "r", bucket: "b", prefix: "", accessKeyId: "k", secretAccessKey: "s" };
const store = new Bucket(place, { tryMs: 200, retryMs: 3000 });
const asked = once(silent, "message");
const away = Promise.all(Array.from({ length: 16 }, (_, n) => store.find(String(n)).catch(() => undefined))).then(() => "bucket");
await asked;
// Whoever has given up on the bucket asks again meanwhile.
await new Promise((resolve) => setTimeout(resolve, 500));
console.log(await Promise.race([lookup("redis").then(({ address }) => address), away]));
process.exit(0);
`;

// Who loses a connection to Redis has its name looked up on the same two threads.
test.runIf(process.getuid?.() === 0)("while nobody says where the bucket is, other names are looked up all the same", async () => {
	const directory = await mkdtemp(join(tmpdir(), "lookup-"));
	try {
		await writeFile(join(directory, "resolv.conf"), "nameserver 127.0.0.53\noptions timeout:2 attempts:1\n");
		await writeFile(join(directory, "hosts"), "10.1.2.3 redis\n");
		await writeFile(join(directory, "script.mjs"), SCRIPT);
		const mounts = ["resolv.conf", "hosts"].map((name) => `mount --bind ${join(directory, name)} "$(readlink -f /etc/${name})"`);
		const script = ["ip link set lo up", ...mounts, `exec "$0" ${join(directory, "script.mjs")}`].join(" && ");
		const { stdout } = await promisify(execFile)("unshare", ["--net", "--mount", "sh", "-c", script, process.execPath]);
		expect(stdout).toBe("10.1.2.3\n");
	} finally {
		await rm(directory, { recursive: true });
	}
});
