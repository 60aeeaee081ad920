import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ApiError } from "@berth/client";
import { DockerBuilds } from "@berth/sandbox";
import { describe, expect, it } from "vitest";
import { tar, tarGz } from "../harness/archives.js";
import type { DockerDaemon } from "../harness/docker-engine.js";
import { eventually } from "../harness/eventually.js";
import { freshName } from "../harness/functions.js";
import type { Stack } from "../harness/stack.js";
import { distribution } from "../harness/tenant-image.js";

/** Engines that may be used once their suite has started them. */
interface Engines {
	readonly daemon: () => DockerDaemon;
	/** A stack on it, where Dockerfiles may be built. */
	readonly docker: () => Stack;
	readonly oci: () => Stack;
}

const ROOT = { path: "root.tar", body: distribution("cat /made /text") };
const TWO_STAGES = `# comments, and lines that go on
FROM scratch AS made
ADD root.tar /
RUN id -u > /made; \\
    /bin/busybox grep -c : /proc/net/dev >> /made; \\
    echo printed on the way
FROM scratch
COPY --from=made / /
COPY text /text
CMD ["/srv/run"]
`;

/** A part of the suite of engines. */
export function describeDockerfiles({ daemon, docker, oci }: Engines): void {
	const deploy = (stack: Stack, dockerfile: string, name = freshName()) =>
		stack.client.deployArchive(name, {
			kind: "tar.gz",
			bytes: tarGz({ path: "build/Dockerfile", body: dockerfile }, ROOT),
			manifest: { dockerfile: "build/Dockerfile" },
		});
	const refusalOf = async (...given: Parameters<typeof deploy>) => {
		const error = await deploy(...given).catch((reason: unknown) => reason);
		if (!(error instanceof ApiError)) throw error;
		return error.problem;
	};

	describe("a Dockerfile", () => {
		it("is a function: its image, of several stages, built without a network; the next deploy finds its steps cached", async () => {
			const directory = await mkdtemp(join(daemon().directory, "source-"));
			try {
				const name = freshName();
				const deployed = async (text: string) => {
					await writeFile(join(directory, "text"), text);
					const { code, stdout, stderr } = await docker().berth("deploy", directory, "--dockerfile", "Dockerfile", "--name", name);
					expect([code, `${stdout}${stderr}`]).toEqual([0, expect.any(String)]);
					return { shown: `${stdout}${stderr}`, answer: (await docker().client.invoke(name, { json: {} })).raw.body.toString() };
				};
				await writeFile(join(directory, "Dockerfile"), TWO_STAGES);
				await writeFile(join(directory, ROOT.path), ROOT.body);
				const first = await deployed("one");
				// Root in there, and lo is all that it has.
				expect(first.answer).toBe("0\n1\none");
				expect(first.shown).toMatch(
					/step 1\/7: FROM scratch AS made[\s\S]*step 3\/7: RUN id -u[\s\S]*printed on the way[\s\S]*step 7\/7: CMD/,
				);
				expect(first.shown).not.toContain("(cached)");
				const second = await deployed("two");
				expect(second.answer).toBe("0\n1\ntwo");
				expect(second.shown).toMatch(
					/step 3\/7: RUN id -u.*\(cached\)[\s\S]*step 5\/7: COPY --from=made \/ \/ \(cached\)[\s\S]*step 6\/7: COPY text \/text\n/,
				);
				expect(second.shown).not.toContain("  printed");
			} finally {
				await rm(directory, { recursive: true });
			}
		});

		it("that fails says at which step, in which line, how, and what was printed last; nothing of it is left", async () => {
			const failing = `FROM scratch\nADD root.tar /\n\nRUN echo begun; echo no luck; exit 3\n`;
			const refusals = await Promise.all([
				refusalOf(docker(), failing),
				refusalOf(docker(), "FROM scratch\nCOPY nothing /\n"),
				refusalOf(docker(), "FROM scratch\nADD http://169.254.169.254/ /\n"),
				refusalOf(docker(), "FROM scratch\nCOPY root.tar /\n"),
			]);
			expect(refusals).toMatchObject([
				{
					code: "build_failed",
					detail: expect.stringMatching(
						/failed at step 3\/3, RUN echo begun.*: it ended with 3\. It printed last: (?:begun \/ no luck|no luck \/ begun)/,
					),
					diagnostics: [{ file: "build/Dockerfile", line: 4, message: "it ended with 3" }],
				},
				{ code: "build_failed", detail: expect.stringMatching(/step 2\/2, COPY nothing \/: .*nothing/) },
				{ code: "build_failed", diagnostics: [{ line: 2, message: expect.stringContaining("files of the source alone") }] },
				{ code: "image_rejected", detail: expect.stringContaining("neither Entrypoint nor Cmd") },
			]);
			const containers = await daemon().ask<readonly { readonly Labels: Readonly<Record<string, string>> }[]>(
				"GET",
				"/containers/json?all=1",
			);
			expect(containers.filter(({ Labels }) => Object.keys(Labels).some((label) => label.startsWith("dev.berth.build")))).toEqual([]);
		});

		it("begins with an image that the Engine has by its name, and with none of a function's", async () => {
			await mkdir(join(daemon().directory, "base"), { recursive: true });
			const archive = join(daemon().directory, "base/root.tar");
			await writeFile(archive, ROOT.body);
			await daemon().docker("import", archive, "team/tiny:1");
			const name = freshName();
			await deploy(docker(), 'FROM team/tiny:1\nRUN echo on top > /made; touch /text\nCMD ["/srv/run"]\n', name);
			expect((await docker().client.invoke(name, { json: {} })).raw.body.toString()).toBe("on top\n");
			expect(await refusalOf(docker(), `FROM ${await daemon().imageOf(name)}\nCMD ["x"]\n`)).toMatchObject({
				detail: expect.stringMatching(/^build\/Dockerfile:1: the Docker Engine has no image of the name berth/),
			});
			// The Engine would take the open stage's name for the beginning of an image's id.
			expect(await refusalOf(docker(), "FROM team/tiny:1 AS ab1\nCOPY --from=ab1 / /x\n")).toMatchObject({
				detail: expect.stringMatching(/^build\/Dockerfile:2: the Docker Engine has no image of the name ab1/),
			});
			const builds = await DockerBuilds.open({ socketPath: daemon().socketPath, node: "test", isOnline: false });
			const { Id: id } = await daemon().ask<{ readonly Id: string }>("GET", "/images/team/tiny:1/json");
			const names = ["team/tiny:1", "docker.io/team/tiny:1", "team/tiny", "team/other:1", id, id.slice(7, 19), "a:b:c"];
			const there = await Promise.all(names.map((each) => builds.has(each)));
			builds.close();
			expect(there).toEqual([true, true, false, false, false, false, false]);
		});

		it("that takes too long is stopped, and its container, which is capped and has no network, is gone", async () => {
			const builds = await DockerBuilds.open({ socketPath: daemon().socketPath, node: "test", isOnline: false });
			try {
				const dockerfile = `FROM scratch\nLABEL ${builds.label}=1\nADD root.tar /\nRUN /bin/busybox sleep 1000\n`;
				async function* context() {
					yield tar({ path: "Dockerfile", body: dockerfile }, ROOT);
				}
				const ours = async () =>
					(await daemon().docker("ps", "--all", "--quiet", "--filter", `label=${builds.label}`)).stdout.split("\n").filter(Boolean);
				const listener = { onStep: () => undefined, onOutput: () => undefined };
				const build = builds.build({ context: context(), dockerfile: "Dockerfile", noCache: false, timeoutMs: 10_000, ...listener });
				await eventually(async () => {
					const [id = ""] = await ours();
					const { stdout } = await daemon().docker("inspect", "--format", "{{json .HostConfig}}", id);
					expect(JSON.parse(stdout)).toMatchObject({
						NetworkMode: "none",
						Memory: 1 << 30,
						MemorySwap: 1 << 30,
						PidsLimit: 512,
						Privileged: false,
					});
				});
				expect(await build).toEqual({ outcome: "timed_out" });
				await eventually(async () => expect(await ours()).toEqual([]));
			} finally {
				builds.close();
			}
		});

		it("is refused at its deploy where no Docker Engine is, saying what to do", async () => {
			expect(await refusalOf(oci(), TWO_STAGES)).toMatchObject({
				code: "invalid_manifest",
				detail: expect.stringMatching(/^dockerfile: .*engine is oci here.*berth deploy --image/),
			});
		});
	});
}
