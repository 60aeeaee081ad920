import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TarEntry } from "../harness/archives.js";
import { type Deployed, deployTar, refusalOf } from "../harness/functions.js";
import { PackageRegistry, sourceWith } from "../harness/package-registry.js";
import { Stack } from "../harness/stack.js";

let registry: PackageRegistry;
let stack: Stack;
beforeAll(async () => {
	registry = await PackageRegistry.open();
	stack = await Stack.start({ BERTH_PREWARMED: "0", BERTH_NPM_REGISTRY: registry.url });
});
afterAll(async () => {
	await stack?.stop();
	await registry?.[Symbol.asyncDispose]();
});

const deployed = (entries: readonly TarEntry[], manifest = {}) => deployTar(stack, entries, manifest);

const INDEX = "export default () => 'ok';";

describe("an installation", () => {
	it("runs no script of a package's or of the source's", async () => {
		const script = "node -e \"require('fs').writeFileSync('ran.txt', 'ran'); fetch('http://127.0.0.1/')\"";
		const scripts = { preinstall: script, install: script, postinstall: script, prepare: script };
		registry.publish({
			name: "eager",
			version: "1.0.0",
			manifest: { scripts },
			files: { "index.js": "exports.files = () => require('node:fs').readdirSync(__dirname);" },
		});
		const locked = { "node_modules/eager": { ...registry.locked("eager", "1.0.0"), hasInstallScript: true } };
		const source =
			"import { files } from 'eager'; import { readdirSync } from 'node:fs'; export default () => [...files(), ...readdirSync('/function/code')];";
		const made = await deployed(sourceWith(source, { eager: "1.0.0" }, locked, { scripts }));
		expect((await made.result<string[]>()).sort()).toEqual(["index.js", "index.mjs", "index.mjs.map", "node_modules", "package.json"]);
	});

	it("doesn't read the source's .npmrc", async () => {
		registry.publish({ name: "plain", version: "1.0.0", files: { "index.js": "module.exports = 'plain';" } });
		const source = sourceWith(
			"import plain from 'plain'; export default () => plain;",
			{ plain: "1.0.0" },
			{ "node_modules/plain": registry.locked("plain", "1.0.0") },
		);
		const made = await deployed([...source, { path: ".npmrc", body: "registry=http://169.254.169.254/\nignore-scripts=false\n" }]);
		expect(await made.result()).toBe("plain");
	});

	it("asks the registry for nothing but what the lock file names, and only by GET", () => {
		expect(registry.asked.filter((line) => !/^GET \/(?:eager|plain)\/-\/\w+-1\.0\.0\.tgz$/.test(line))).toEqual([]);
	});

	it.each<[string, Record<string, string>, Record<string, object>, string]>([
		["a file of the machine's", { evil: "file:///etc/passwd" }, {}, "file:///etc/passwd"],
		[
			"another host",
			{ evil: "1.0.0" },
			{ "node_modules/evil": { version: "1.0.0", resolved: "http://169.254.169.254/evil.tgz", integrity: "sha512-AAAA" } },
			"169.254.169.254",
		],
		["git", { evil: "git+ssh://git@example.com/evil.git" }, {}, "git+ssh"],
		["what nobody could check", { evil: "1.0.0" }, { "node_modules/evil": { version: "1.0.0" } }, "integrity"],
	])("of %s is refused before anything is fetched", async (_, dependencies, packages, named) => {
		const asks = registry.asked.length;
		expect(await refusalOf(deployed(sourceWith(INDEX, dependencies, packages)))).toMatchObject({
			status: 422,
			code: "dependencies_rejected",
			detail: expect.stringContaining(named),
		});
		expect(registry.asked.length).toBe(asks);
	});

	it("isn't led elsewhere by a registry that redirects", async () => {
		registry.publish({ name: "moved", version: "1.0.0", files: { "index.js": "" } });
		registry.instead = (request, response) =>
			request.url?.startsWith("/moved") === true && response.writeHead(302, { location: `${stack.url}/livez` }).end() !== undefined;
		const error = await deployed(sourceWith(INDEX, { moved: "1.0.0" }, { "node_modules/moved": registry.locked("moved", "1.0.0") })).catch(
			(reason: unknown) => reason,
		);
		registry.instead = () => false;
		expect(error).toMatchObject({ problem: { code: "registry_unavailable", detail: expect.stringContaining("isn't followed") } });
	});
});

describe("an install script that was allowed", () => {
	/** Deploys a package with this script, which its manifest names. */
	function scripted(name: string, postinstall: string, files: Readonly<Record<string, string>> = {}, manifest = {}): Promise<Deployed> {
		registry.publish({
			name,
			version: "1.0.0",
			manifest: { scripts: { postinstall } },
			files: {
				"index.js": "const { readFileSync } = require('node:fs'); module.exports = () => readFileSync(__dirname + '/made.txt', 'utf8');",
				...files,
			},
		});
		const source = sourceWith(
			`import it from '${name}'; export default () => it();`,
			{ [name]: "1.0.0" },
			{ [`node_modules/${name}`]: registry.locked(name, "1.0.0") },
		);
		return deployed(source, { ...manifest, scripts: [name] });
	}

	async function failureOf(deploy: Promise<Deployed>): Promise<string> {
		const problem = await refusalOf(deploy);
		expect(problem).toMatchObject({ status: 422, code: "install_failed" });
		return problem.detail ?? "";
	}

	it("that forks without end meets the cap of processes, and the next build works", async () => {
		const said = await failureOf(scripted("forks", "while :; do sleep 1000 & n=$((n + 1)); echo forked $n; done"));
		expect(said).toMatch(/a build may have only so many processes/);
		expect(Number(/.*forked (\d+)/s.exec(said)?.[1])).toBeLessThan(128);
		expect(await (await scripted("after-forks", "echo fine > made.txt")).result()).toBe("fine\n");
	});

	it("that prints its environment has no secret in it, nor has the build's log", async () => {
		const value = `sk_live_${process.pid}_of_the_build`;
		await stack.client.setSecret("BUILD_KEY", { value });
		const script = "env; cat /proc/*/environ; exit 1";
		const said = await failureOf(scripted("prints-environment", script, {}, { secrets: ["BUILD_KEY"] }));
		expect(said).toContain("PATH=");
		expect(said).not.toMatch(/BUILD_KEY|sk_live/);
	});

	it("that leaves processes running has them ended before its files are read", async () => {
		const late =
			"require('node:fs').writeFileSync('made.txt', 'before'); setInterval(() => require('node:fs').appendFileSync('made.txt', 'x'))";
		const start = "require('node:child_process').spawn(process.execPath, ['late.js'], { detached: true, stdio: 'inherit' }).unref()";
		const script = "node start.js; until test -s made.txt; do sleep 0.01; done";
		const made = await scripted("lingers", script, { "late.js": late, "start.js": start });
		expect(await made.result()).toMatch(/^beforex*$/);
	});

	it("sees nothing of the host, of another project's, or of the source", async () => {
		const script =
			"(cat /etc/hostname /etc/shadow /root/.npmrc /var/run/docker.sock; ls /home /var /root /sys; env; ls /proc/net) > made.txt 2>&1";
		const seen = await (await scripted("looks", `${script}; true`)).result<string>();
		for (const file of ["/etc/hostname", "/etc/shadow", "/root/.npmrc", "/var/run/docker.sock", "/sys"])
			expect(seen).toMatch(new RegExp(`${file}'?: (?:No such file|Permission denied)`));
		expect(seen).not.toMatch(/BERTH|SECRET|TOKEN|REDIS/);
	});

	it("reaches neither the registry, nor the platform, nor anything else", async () => {
		const asks = registry.asked.length;
		const urls = [registry.url, stack.url, "http://169.254.169.254/"];
		const send = `Promise.all(${JSON.stringify(urls)}.map((url) => fetch(url).then(() => 'reached', (e) => e.cause.code)))
			.then((all) => require('node:fs').writeFileSync('made.txt', all.join()))`;
		expect(await (await scripted("sends", "node send.js", { "send.js": send })).result()).toMatch(/^(?:E[A-Z]+,){2}E[A-Z]+$/);
		expect(registry.asked.slice(asks)).toEqual(["GET /sends/-/sends-1.0.0.tgz"]);
	});

	it("writes nowhere but among the dependencies, where links lead nowhere", async () => {
		expect(await failureOf(scripted("writes", "echo x > /usr/bin/node"))).toMatch(/only the dependencies' own files and \/tmp/);
		const planted = "ln -s /etc/passwd link.txt; ln -sf /etc/passwd ../.berth-externals.json; ls > made.txt";
		const made = await scripted("plants", planted, { "index.js": "module.exports = () => require('node:fs').readdirSync(__dirname);" });
		expect(await made.result<string[]>()).toEqual(["index.js", "made.txt", "package.json"]);
		expect(await failureOf(scripted("hides", "mkdir shut; touch shut/x; chmod 0 shut"))).toMatch(/left files that can't be read/);
	});

	it("that starts what it wrote is no more for it: no other user, no namespace, no device", async () => {
		const script =
			"cp /bin/busybox .; chmod 6755 busybox; for tried in 'id -u' 'unshare -r true' 'mount -t tmpfs x /tmp' 'mknod n c 1 1' 'chroot . true'; do ./busybox $tried; done > made.txt 2>&1; true";
		const said = (await (await scripted("starts", script)).result<string>()).trim().split("\n");
		expect(said).toEqual(["1000", ...Array(4).fill(expect.stringMatching(/not permitted|denied/i))]);
	});

	it("that prints a gigabyte is heard at its end, and no more", async () => {
		const made = await scripted(
			"prints",
			"dd if=/dev/zero bs=1M count=1024 2>/dev/null | tr '\\0' y; echo; echo done; echo kept > made.txt",
		);
		expect(await made.result()).toBe("kept\n");
		const { lines } = await stack.client.buildLog(made.name, made.version.number);
		expect(lines.map(({ text }) => text)).toContain("  done");
		expect(lines.reduce((sum, { text }) => sum + text.length, 0)).toBeLessThan(10_000);
	});

	it("that kills what it runs in fails alone", async () => {
		expect(await failureOf(scripted("kills", "kill -9 -1; kill -9 $PPID"))).toMatch(/ended/);
		expect(await (await scripted("after-kills", "echo fine > made.txt")).result()).toBe("fine\n");
	});
});
