import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { tar } from "../harness/archives.js";
import { Deployed, freshName, json } from "../harness/functions.js";
import { send } from "../harness/raw-http.js";
import { sharedStack } from "../harness/shared-stack.js";
import { configOf, distribution, image, jsonBytes } from "../harness/tenant-image.js";

const stack = await sharedStack();
async function put(body: Buffer, manifest: object = {}) {
	const name = freshName("img");
	const headers = [
		["content-type", "application/x-tar"],
		["berth-manifest", JSON.stringify(manifest)],
	] as const;
	const answer = await send(stack, { method: "PUT", path: `/v1/functions/${name}?wait=true`, headers, body });
	return { answer, deployed: () => new Deployed(stack, name, json<{ version: Deployed["version"] }>(answer).version) };
}

const textOf = async (deployed: Deployed, path = "/") => (await deployed.request({ path })).body.toString();
const lines = async (deployed: Deployed) => (await textOf(deployed)).trim().split("\n");

describe("an image", () => {
	it("is a function: its command, variables and directory, its files, and the manifest's variables over its own", async () => {
		const layer = gzipSync(
			distribution(
				'echo "$PWD $A $B $MODE $1"; id -u; ls -a / | head -c 200; stat -c %a /bin/busybox /srv/answer; touch /x 2>&1; cat /data/text',
			),
		);
		const more = gzipSync(
			tar({ path: "./data/", type: "5", mode: 0o700 }, { path: "./data/text", body: "of the second layer", mode: 0o600 }),
		);
		const config = { Entrypoint: ["/srv/run"], Cmd: ["ignored"], Env: ["A=image", "B=image", "PATH=/bin:/usr/bin"], WorkingDir: "/data" };
		const { answer, deployed } = await put(image([layer, more], config), { env: { B: "manifest" } });
		expect([answer.status, deployed().version.manifest.runtime]).toEqual([201, "custom"]);
		const said = await textOf(deployed());
		expect(said).toMatch(/^\/data image manifest/);
		expect(said).toContain("\n1000\n");
		expect(said).toContain("\n755\n755\n");
		expect(said).toContain("/x: Read-only file system");
		expect(said).toMatch(/of the second layer$/);
		const again = await deployed().invoke({});
		expect((await deployed().record(again)).start).toBe("warm");
	});

	it("has its volumes, whatever it brought at /mnt itself", async () => {
		const volume = freshName("kept");
		await stack.client.makeVolume(volume, { sizeMiB: 16 });
		const layer = gzipSync(distribution(`ls /mnt; cat /mnt/${volume}/text; echo more >> /mnt/${volume}/text`));
		const away = gzipSync(tar({ path: "mnt", type: "2", link: "/etc" }));
		const { answer, deployed } = await put(image([layer, away]), { volumes: [{ name: volume }] });
		expect(answer.status).toBe(201);
		expect(await textOf(deployed())).toBe(`${volume}\n`);
		expect(await textOf(deployed())).toBe(`${volume}\nmore\n`);
		await stack.client.remove(deployed().name);
		await stack.client.removeVolume(volume);
	});

	it("as docker save writes it is the same: gzipped, too, and with a layer that is there twice", async () => {
		const layer = distribution("echo saved");
		const config = configOf([layer, layer], { Cmd: ["/srv/run"] });
		const manifest = jsonBytes([{ Config: "config.json", RepoTags: ["x:latest"], Layers: ["abc/layer.tar", "def/layer.tar"] }]);
		const again = { path: "def/layer.tar", type: "2", link: "../abc/layer.tar" };
		const files = [{ path: "config.json", body: config }, again, { path: "abc/layer.tar", body: layer }];
		const { deployed } = await put(gzipSync(tar({ path: "manifest.json", body: manifest }, ...files)));
		expect(await textOf(deployed())).toBe("saved\n");
	});

	it("is what its layers make together: whiteouts, links, hard links across layers; devices aren't there", async () => {
		const base = distribution("cd /d; find . | sort; cat hard linked; readlink rel; stat -c '%h %F' hard");
		const lower = tar(
			{ path: "d/gone", body: "x" },
			{ path: "d/dir/", type: "5" },
			{ path: "d/dir/below", body: "x" },
			{ path: "d/opaque/old", body: "x" },
			{ path: "d/file", body: "first" },
			{ path: "d/becomes-dir", body: "x" },
		);
		const upper = tar(
			{ path: "d/.wh.gone" },
			{ path: "d/.wh.dir" },
			{ path: "d/opaque/new", body: "x" },
			{ path: "d/opaque/.wh..wh..opq" },
			{ path: "d/hard", type: "1", link: "d/file" },
			{ path: "d/rel", type: "2", link: "file" },
			{ path: "d/linked", type: "2", link: "/d/file" },
			{ path: "d/becomes-dir/inside", body: "x" },
			{ path: "d/null", type: "3" },
			{ path: "d/disk", type: "4" },
			{ path: "d/pipe", type: "6" },
		);
		const { deployed } = await put(
			image(
				[base, lower, upper].map((layer) => gzipSync(layer)),
				{ Cmd: ["/srv/run"] },
			),
		);
		expect(await lines(deployed())).toEqual([
			...[".", "./becomes-dir", "./becomes-dir/inside", "./file", "./hard", "./linked", "./opaque", "./opaque/new", "./rel"],
			"firstfirstfile",
			"1 regular file",
		]);
	});
});

describe("a hostile image", () => {
	it("can't move what the sandbox mounts: links at those places are ours, and lead nowhere", async () => {
		const layer = distribution(
			'for name in proc dev tmp berth function run; do echo "$name $(stat -c %F /$name)"; done; ls /dev; ls /function/code; cat /proc/self/comm; echo "$(ls /run) $(ls /run/berth)"',
		);
		const links = ["proc", "dev", "tmp", "berth", "function", "run"].map((path) => ({ path, type: "2", link: "/" }));
		const { deployed } = await put(image([layer, tar(...links)]));
		const said = await lines(deployed());
		expect(said.slice(0, 6)).toEqual(["proc", "dev", "tmp", "berth", "function", "run"].map((name) => `${name} directory`));
		expect(said).toContain("urandom");
		expect(said).toContain("image.json");
		expect(said.at(-1)).toBe("berth agent.sock");
	});

	it("has links to the host that lead into itself alone, and what it would replace of the bridge isn't used", async () => {
		const layer = distribution(
			"cat /host-shadow 2>&1; cat /srv/up 2>&1; ls /lib64/ld-linux-x86-64.so.2 >/dev/null && echo loader; cat /etc/passwd",
		);
		const own = tar(
			{ path: "host-shadow", type: "2", link: "/etc/shadow" },
			{ path: "srv/up", type: "2", link: "../../../../../../etc/hostname" },
			{ path: "berth/berth/bridge.cjs", body: "process.exit(9)" },
			{ path: "berth/usr/bin/node", body: "#!/bin/sh\nexit 9\n", mode: 0o755 },
			{ path: "etc/ld.so.preload", body: "/evil.so" },
			{ path: "etc/passwd", body: "of the image" },
		);
		const { deployed } = await put(image([layer, own]));
		const said = await textOf(deployed());
		expect(said).toContain("can't open '/host-shadow': No such file");
		expect(said).toContain("can't open '/srv/up': No such file");
		expect(said).toMatch(/of the image$/);
	});

	it.each([
		["a name that climbs", [{ path: "../../etc/cron.d/x", body: "x" }], /leads out of the image/],
		["a hard link out of it", [{ path: "x", type: "1", link: "../../etc/shadow" }], /leads out of the image/],
		["a hard link to a file of the host", [{ path: "x", type: "1", link: "/etc/shadow" }], /which is no file of the image/],
		["an entry of a type that no layer has", [{ path: "x", type: "V" }], /no layer has/],
		[
			"a link to a longer path than a layer has room for",
			[
				{ path: "long", type: "K", body: "y".repeat(150) },
				{ path: "x", type: "2" },
			],
			/longer name/,
		],
	] as const)("is refused for %s", async (_what, entries, message) => {
		const { answer } = await put(image([tar(...entries)]));
		expect([answer.status, json(answer)]).toEqual([
			422,
			expect.objectContaining({ code: "image_rejected", detail: expect.stringMatching(message) }),
		]);
	});

	it("of very many entries, of very many bytes in few, or of hard links that multiply, is refused", async () => {
		const header = tar({ path: "d/", type: "5" }).subarray(0, 512);
		const many = gzipSync(Buffer.concat(Array<Buffer>(100_001).fill(header)));
		const bomb = gzipSync(Buffer.alloc(400 * 1024 * 1024), { level: 1 });
		const file = { path: "f", body: Buffer.alloc(8 * 1024 * 1024) };
		const multiplied = gzipSync(tar(file, ...Array.from({ length: 60 }, (_, at) => ({ path: `l${at}`, type: "1", link: "f" }))));
		const seen = [];
		for (const layer of [many, bomb, multiplied]) seen.push(json((await put(image([layer]))).answer)["detail"]);
		expect(seen).toEqual([
			expect.stringContaining("more than 100000 entries"),
			expect.stringContaining("bytes unpacked"),
			expect.stringContaining("hard links counted as files"),
		]);
	});

	it("that is damaged, empty, for another machine or without a command says so", async () => {
		const layer = tar({ path: "x", body: "x" });
		const whole = image([layer]);
		const at = whole.indexOf(layer);
		const torn = Buffer.from(whole);
		torn[at + 512] = 0x59;
		const cases: readonly (readonly [Buffer, RegExp])[] = [
			[torn, /whose bytes are others/],
			[tar({ path: "x", body: "x" }), /neither index\.json.*nor manifest\.json/],
			[Buffer.from("no tar at all".repeat(100)), /damaged, or isn't a tar/],
			[image([layer], { Cmd: ["x"] }, { rootfs: { diff_ids: [] } }), /has 1 layers, and its config names 0/],
			[image([layer], {}), /neither Entrypoint nor Cmd/],
			[image([layer], { Cmd: ["x"] }, { architecture: "s390x" }), /for linux\/s390x/],
			[image([Buffer.from("garbage".repeat(200))]), /damaged, or isn't a tar/],
		];
		for (const [body, message] of cases) {
			const { answer } = await put(body);
			expect([answer.status, json(answer)]).toEqual([
				422,
				expect.objectContaining({ code: "image_rejected", detail: expect.stringMatching(message) }),
			]);
		}
	});

	it("in which nothing listens, or nothing can be started, is an init_error that says which", async () => {
		const base = distribution("");
		const ended = await put(image([base], { Cmd: ["/bin/sh", "-c", "exit 4"] }));
		expect(await ended.deployed().invoke()).toMatchObject({
			outcome: "init_error",
			problem: { detail: expect.stringContaining("/bin/sh exited with code 4 before it listened on BERTH_SOCKET") },
		});
		const absent = await put(image([base], { Cmd: ["/no/such"] }));
		expect(await absent.deployed().invoke()).toMatchObject({
			outcome: "init_error",
			problem: { detail: expect.stringContaining("isn't there") },
		});
		const lost = await put(image([base], { Cmd: ["/srv/run"], WorkingDir: "/no/such" }));
		expect(await lost.deployed().invoke()).toMatchObject({
			outcome: "init_error",
			problem: { detail: expect.stringContaining("WorkingDir, /no/such") },
		});
	});

	it("is asked for an image's own fields, not for those of a source", async () => {
		for (const manifest of [{ runtime: "node24" }, { entry: "x" }]) {
			const { answer } = await put(image([tar({ path: "x" })]), manifest);
			expect([answer.status, json(answer)["code"]]).toEqual([400, "invalid_manifest"]);
		}
	});
});
