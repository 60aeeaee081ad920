import { readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { deploy, fixture } from "../harness/functions.js";
import { loopDevicesOf } from "../harness/leftovers.js";
import type { Stack } from "../harness/stack.js";

/** What holds of storage on a stack whose sandboxes a Docker Engine makes, and whose operator calls a directory `words`. */
export function dockerStorage(of: () => Stack): void {
	describe("storage with a Docker Engine", () => {
		let docker: Stack;
		beforeAll(() => {
			docker = of();
		});
		const user = (input: Pick<Parameters<typeof deploy>[1], "volumes" | "binds">) =>
			deploy(docker, { source: fixture("uses-files"), ...input });

		it("a volume is shared by functions as their own, of a size that holds, inert, and read-only where a manifest says so; it stays", async () => {
			await docker.client.makeVolume("box", { sizeMiB: 16 });
			const [writer, other] = [await user({ volumes: [{ name: "box" }] }), await user({ volumes: [{ name: "box" }] })];
			const reader = await user({ volumes: [{ name: "box", readOnly: true }] });
			expect(await writer.result({ do: "append", path: "/mnt/box/kept", text: "a" })).toBe("done");
			// Who runs as another id of this host owns it all the same.
			expect(await other.result({ do: "chmod", path: "/mnt/box/kept" })).toBe("done");
			expect(await other.result({ do: "append", path: "/mnt/box/kept", text: "b" })).toBe("done");
			const { mount } = await other.result<{ mount: string }>({ do: "look", path: "/mnt/box/kept" });
			expect(mount).toMatch(/^rw,nosuid,nodev,noexec/);
			expect(await other.result({ do: "program", path: "/mnt/box/program" })).toBe("EACCES");
			expect(await reader.result({ do: "read", path: "/mnt/box/kept" })).toBe("ab");
			expect(await reader.result({ do: "append", path: "/mnt/box/kept", text: "c" })).toBe("EROFS");
			const { mount: readOnly } = await reader.result<{ mount: string }>({ do: "look", path: "/mnt/box/kept" });
			expect(readOnly).toMatch(/^ro,nosuid,nodev,noexec/);
			const { code, mebibytes } = await writer.result<{ code: string; mebibytes: number }>({ do: "fill", path: "/mnt/box/large" });
			expect(code).toBe("ENOSPC");
			expect(mebibytes).toBeLessThan(16);

			await docker.killAndAwaitNext("launcher");
			await eventually(async () => expect(await reader.result({ do: "read", path: "/mnt/box/kept" })).toBe("ab"), 30_000);
			await expect(docker.client.removeVolume("box")).rejects.toMatchObject({ problem: { code: "volume_in_use" } });
			for (const { name } of [writer, other, reader]) await docker.client.remove(name);
			await docker.client.removeVolume("box");
			expect(readdirSync(join(docker.dataDir, "launcher", "volumes"))).toEqual([]);
			await eventually(() => expect(loopDevicesOf(docker.dataDir)).toEqual([]));
		});

		it("a bind mount is there by its name, and can't be written", async () => {
			const reader = await user({ binds: ["words"] });
			expect(await reader.result({ do: "read", path: "/mnt/words/first" })).toBe("from the host");
			expect(await reader.result({ do: "append", path: "/mnt/words/first", text: "x" })).toBe("EROFS");
			const { mount } = await reader.result<{ mount: string }>({ do: "look", path: "/mnt/words/first" });
			expect(mount).toMatch(/^ro,nosuid,nodev,noexec/);
		});
	});
}
