import { existsSync, readFileSync } from "node:fs";

/** Whether a file has a test, or a group of tests, whose title begins so. */
export function hasTest(file: string, title: string): boolean {
	if (!existsSync(file)) return false;
	return new RegExp(`(?:test|it|describe)[\\s\\S]{0,400}?["\`]${escaped(title)}`).test(readFileSync(file, "utf8"));
}

function escaped(text: string): string {
	return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
