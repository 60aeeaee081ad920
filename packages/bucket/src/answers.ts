/** What an S3 answer says in XML, as far as it is needed here: elements without attributes, one below another. */
export function textsOf(xml: string, element: string): readonly string[] {
	return [...xml.matchAll(new RegExp(`<${element}>([^<]*)</${element}>`, "g"))].map(([, text]) => unescaped(text as string));
}

/** The code and the message of an error; an answer to HEAD, and a proxy's own, have neither. */
export function errorOf(xml: string): { readonly code?: string; readonly message?: string } {
	if (!xml.includes("<Error>")) return {};
	const [code] = textsOf(xml, "Code");
	const [message] = textsOf(xml, "Message");
	return { ...(code === undefined ? {} : { code }), ...(message === undefined ? {} : { message }) };
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

function unescaped(text: string): string {
	return text.replace(/&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|(\w+));/gi, (whole, hex?: string, decimal?: string, name?: string) => {
		if (name !== undefined) return ENTITIES[name] ?? whole;
		const point = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
		return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
	});
}
