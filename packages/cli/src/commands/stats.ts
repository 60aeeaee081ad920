import { setTimeout as pause } from "node:timers/promises";
import type { Client } from "@berth/client";
import { SECOND_MS } from "@berth/contracts";
import { EXIT, type ExitCode } from "../exit-codes.js";
import { hearStops } from "../interruption.js";
import type { Registrar } from "../registrar.js";
import { statsText } from "../render/stats.js";
import type { Session } from "../session.js";

/** Cursor home; clear to the end of the screen. */
const HOME = "\x1b[H";
const CLEAR_REST = "\x1b[J";
const CLEAR_ALL = "\x1b[2J";

/** `berth stats` */
export function registerStats({ program, action }: Registrar): void {
	program
		.command("stats")
		.description("show what the nodes hold and have done")
		.option("--watch", "draw it again every second (on a terminal; Ctrl-C ends it)")
		.addHelpText("after", "\nExample:\n  berth stats --watch")
		.action(
			action(async (session: Session, options: { watch?: boolean }) => {
				const { client } = await session.connect();
				if (options.watch === true && session.terminal.interactive && !session.json) return watch(session, client);
				const nodes = await client.stats();
				if (session.json) session.terminal.json({ nodes });
				else session.terminal.print(nodes.length === 0 ? "No node is up." : statsText(nodes, Date.now()));
				return EXIT.ok;
			}),
		);
}

/** Until it is asked to stop, which is all that ends it well. */
async function watch({ terminal }: Session, client: Client): Promise<ExitCode> {
	const stopping = new AbortController();
	const { signal } = stopping;
	using _ = hearStops(() => stopping.abort());
	let before: { nodes: Awaited<ReturnType<Client["stats"]>>; at: number } | undefined;
	terminal.write(CLEAR_ALL);
	try {
		for (;;) {
			const nodes = await client.stats({ signal });
			const at = performance.now();
			const text = statsText(nodes, Date.now(), before && { nodes: before.nodes, elapsedMs: at - before.at });
			terminal.write(`${HOME}${text.replaceAll("\n", "\x1b[K\n")}\x1b[K\n${CLEAR_REST}`);
			before = { nodes, at };
			await pause(SECOND_MS, undefined, { signal });
		}
	} catch (error) {
		if (!signal.aborted) throw error;
		return EXIT.ok;
	}
}
