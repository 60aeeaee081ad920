import { expect, test } from "vitest";
import { ContainerFreezer } from "./container-freezer.js";
import { type DockerApi, DockerError } from "./docker-api.js";

/** An Engine that refuses with these words; without any it does what it is told. */
function engine(refusals: Partial<Record<string, string>>) {
	const asked: string[] = [];
	const ask = async (path: string) => {
		const what = path.split("/").at(-1) ?? "";
		asked.push(what);
		const refusal = refusals[what];
		if (refusal !== undefined) throw new DockerError(what, 500, refusal);
	};
	return { asked, freezer: new ContainerFreezer({ ask } as Pick<DockerApi, "ask">, "sb_1") };
}

test("who thaws a container that the Engine couldn't pause has it awake", async () => {
	const { asked, freezer } = engine({ pause: "unable to freeze", unpause: "Container 853b is not paused" });
	const freezing = freezer.freeze();
	const thawing = freezer.thaw();
	await expect(freezing).rejects.toThrow("unable to freeze");
	await thawing;
	expect(asked).toEqual(["pause", "unpause"]);
});

test("one that can't be thawed is told", async () => {
	const { freezer } = engine({ unpause: "No such container: sb_1" });
	await expect(freezer.thaw()).rejects.toThrow("No such container");
});
