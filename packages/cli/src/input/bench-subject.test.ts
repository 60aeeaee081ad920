import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { benchSubject } from "./bench-subject.js";

test("a function's name, a file, a directory and nothing are told apart", async () => {
	const directory = await mkdtemp(join(tmpdir(), "berth-subject-"));
	try {
		await writeFile(join(directory, "shop.ts"), "export default 1");
		await writeFile(join(directory, "berth.json"), '{"memoryMiB":256}');
		expect(await benchSubject("shop")).toEqual({ kind: "deployed", name: "shop" });
		expect(await benchSubject(join(directory, "shop.ts"))).toEqual({
			kind: "source",
			deploy: { filename: "shop.ts", source: "export default 1" },
			title: "shop.ts",
		});
		await writeFile(join(directory, "shop.py"), "def handler(event, context): return 1");
		expect(await benchSubject(join(directory, "shop.py"))).toMatchObject({ deploy: { runtime: "python3", filename: "shop.py" } });
		expect(await benchSubject(directory)).toMatchObject({ kind: "archive", archive: { kind: "tar.gz", manifest: { memoryMiB: 256 } } });
		expect(await benchSubject(undefined)).toMatchObject({ kind: "source", title: "the built-in hello" });
		await expect(benchSubject("./nothing.ts")).rejects.toThrow("no such file");
	} finally {
		await rm(directory, { recursive: true });
	}
});
