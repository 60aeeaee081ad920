/** Bytes of the MB that the targets are in, and of the MiB that the kernel counts in. */
const MB = 1e6;
const MIB = 2 ** 20;

export function said(measured) {
	return { measured };
}

export function atMost(target, value) {
	return { measured: ms(value), met: value <= target };
}

/** Bytes that more take, against what one takes. */
export function share(bytes, first) {
	const mb = (value) => `${(value / MB).toFixed(1)} MB`;
	return { measured: mb(bytes), ratio: `${(bytes / first).toFixed(2)} × ${mb(first)}`, met: bytes <= first / 10 };
}

export function atLeast(target, perSecond) {
	return { measured: rate(perSecond), met: perSecond >= target };
}

export function memory(target, { mib }) {
	const mb = (mib * MIB) / MB;
	return { measured: `${mb.toFixed(1)} MB`, ratio: `${mib.toFixed(1)} MiB`, met: mb <= target };
}

/** Milliseconds against a floor's. */
export function against(value, name, floorMs, isMet) {
	return compared(ms(value), value, name, floorMs, ms, isMet);
}

/** A rate against a floor's. */
export function ofRate(value, name, floor, isMet) {
	return compared(rate(value), value, name, floor, rate, isMet);
}

export function compared(measured, value, name, floor, textOf, isMet) {
	if (floor === undefined) return { measured, ratio: `${name} wasn't measured` };
	return { measured, ratio: ratioText(value, floor, name, textOf), met: isMet?.(value / floor) };
}

export function ms(value) {
	return `${value.toFixed(Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0)} ms`;
}

export function rate(value) {
	return `${Math.round(value)}/s`;
}

/** `0.25 × 39.8 ms (node)`, `1/52.1 of 213 ms (docker)` */
export function ratioText(value, other, name, textOf) {
	const ratio = value / other;
	return `${ratio < 0.1 ? `1/${(1 / ratio).toFixed(1)} of` : `${ratio.toFixed(2)} ×`} ${textOf(other)} (${name})`;
}
