import { DAY_MS, HOUR_MS, KIB, MIB, MINUTE_MS, SECOND_MS } from "@berth/contracts";

const GIB = 1024 * MIB;

/** Bytes for people: `512 B`, `1.5 KiB`, `45 MiB`. */
export function bytesText(bytes: number): string {
	if (bytes < KIB) return `${bytes} B`;
	if (bytes < MIB) return `${digits(bytes / KIB)} KiB`;
	if (bytes < GIB) return `${digits(bytes / MIB)} MiB`;
	return `${digits(bytes / GIB)} GiB`;
}

/** How long something took: `0.25 ms`, `12 ms`, `3.1 s`. */
export function durationText(ms: number): string {
	if (ms < 10) return `${Number(ms.toFixed(2))} ms`;
	if (ms < SECOND_MS) return `${Math.round(ms)} ms`;
	if (ms < MINUTE_MS) return `${digits(ms / SECOND_MS)} s`;
	return ageText(ms);
}

/** How old something is, in its two largest units: `12s`, `3m 5s`, `2h 10m`, `4d 1h`. */
export function ageText(ms: number): string {
	const units: readonly (readonly [number, string])[] = [
		[DAY_MS, "d"],
		[HOUR_MS, "h"],
		[MINUTE_MS, "m"],
		[SECOND_MS, "s"],
	];
	const at = units.findIndex(([size]) => ms >= size);
	if (at < 0) return "0s";
	let left = ms;
	const parts = units.slice(at, at + 2).map(([size, unit]) => {
		const count = Math.floor(left / size);
		left -= count * size;
		return count > 0 ? `${count}${unit}` : "";
	});
	return parts.filter((part) => part !== "").join(" ");
}

/** When something happened, as an age; nothing for what didn't. */
export function sinceText(iso: string | undefined, nowMs: number): string {
	return iso === undefined ? "-" : `${ageText(Math.max(0, nowMs - Date.parse(iso)))} ago`;
}

/** Three significant digits are enough for people. */
function digits(value: number): string {
	return String(Number(value.toFixed(value < 10 ? 1 : 0)));
}
