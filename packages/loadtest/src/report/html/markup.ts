/** Text as it may stand in HTML and SVG, attributes included. */
export function escaped(text: string): string {
	return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

type Attributes = Readonly<Record<string, string | number>>;

/** An element; numbers are cut to tenths of a pixel. `content` is markup. */
export function element(name: string, attributes: Attributes, content = ""): string {
	const written = Object.entries(attributes).map(
		([key, value]) => ` ${key}="${typeof value === "number" ? Number(value.toFixed(1)) : escaped(value)}"`,
	);
	return `<${name}${written.join("")}>${content}</${name}>`;
}

export function text(x: number, y: number, content: string, attributes: Attributes = {}): string {
	return element("text", { x, y, ...attributes }, escaped(content));
}

/** A drawing that takes the width it is given, with a name for those who can't see it. */
export function drawing(width: number, height: number, label: string, content: string): string {
	return element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, content);
}
