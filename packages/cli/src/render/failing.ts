import type { FailingVersion } from "@berth/contracts";
import { durationText } from "./units.js";

/** What is wrong with a version that crashes again and again, and when it is tried next. */
export function failingText({ crashes, outcome, error, invocation, retryAfterMs }: Omit<FailingVersion, "project" | "function">): string {
	const next = retryAfterMs > 0 ? `not before ${durationText(retryAfterMs)} from now` : "now";
	const last = invocation === "" ? outcome : `${outcome}, ${invocation}`;
	return `crashed ${crashes} times in a row (${last}: ${error}); another sandbox is started ${next}, when somebody asks for it`;
}
