import { setTimeout as wait } from "node:timers/promises";
import type { NodeDrain } from "@berth/contracts";
import { EXIT } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";
import type { Session } from "../session.js";

const LOOK_MS = 500;

interface DrainOptions {
	readonly undo?: true;
	readonly wait?: true;
}

/** `berth drain <node>` */
export function registerDrain({ program, action }: Registrar): void {
	program
		.command("drain")
		.description("have a node take nothing new, also after a restart: what it has begun ends there, the rest goes to others")
		.argument("<node>", "as berth nodes lists it")
		.option("--undo", "have it take work again")
		.option("--wait", "return when it has nothing in hand any more")
		.addHelpText("after", "\nExample:\n  berth drain --wait node-2")
		.action(
			action(async (session: Session, options: DrainOptions, node: string) => {
				const { client } = await session.connect();
				let state = options.undo === true ? await client.undrain(node) : await client.drain(node);
				let said = "";
				while (options.wait === true && state.draining && inHandOf(state) > 0) {
					if (said !== stateText(state)) session.terminal.note(stateText(state));
					said = stateText(state);
					await wait(LOOK_MS);
					state = await client.drainOf(node);
				}
				if (session.json) session.terminal.json(state);
				else session.terminal.note(stateText(state));
				if (!session.json && state.draining && state.otherNodes === 0)
					session.terminal.note(`${session.terminal.style("yellow", "warning")}: ${nobodyText(state)}`);
				return EXIT.ok;
			}),
		);
}

function inHandOf({ interactive, background, builds }: NodeDrain): number {
	return interactive + background + builds;
}

/** It is done all the same: on one machine nothing else can be drained, and it is undone in a moment. */
function nobodyText({ node }: NodeDrain): string {
	return `no other node takes work: invocations are refused now (503 unavailable), what is sent in the background waits, and so do deploys. \`berth drain --undo ${node}\` has it take work again`;
}

function stateText(state: NodeDrain): string {
	const { node, draining, interactive, background, builds } = state;
	if (!draining) return `${node} takes work.`;
	if (inHandOf(state) === 0) return `${node} drains, and has nothing in hand: it may be stopped.`;
	return `${node} drains: ${interactive} interactive, ${background} in the background and ${builds} builds are still in hand.`;
}
