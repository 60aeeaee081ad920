interface Family {
	/** Its HELP and TYPE lines. */
	readonly about: Map<string, string>;
	readonly samples: string[];
}

/** A worker's samples in Prometheus's text format, labelled with its node. */
export function withNode(text: string, node: string): string {
	return text.replace(
		/^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? /gm,
		(_line, name: string, labels?: string) => `${name}{${labels ? `${labels},` : ""}node="${node}"} `,
	);
}

/** One exposition of several: what is said about a metric is said once, its samples stand together. */
export function merged(texts: readonly string[]): string {
	const families = new Map<string, Family>();
	for (const text of texts) {
		let current: Family | undefined;
		for (const line of text.split("\n")) {
			const [, keyword, name] = /^# (HELP|TYPE) (\S+)/.exec(line) ?? [];
			if (keyword !== undefined && name !== undefined) {
				current = families.get(name) ?? { about: new Map(), samples: [] };
				families.set(name, current);
				if (!current.about.has(keyword)) current.about.set(keyword, line);
			} else if (line !== "") current?.samples.push(line);
		}
	}
	return `${[...families.values()].flatMap(({ about, samples }) => [...about.values(), ...samples]).join("\n")}\n`;
}
