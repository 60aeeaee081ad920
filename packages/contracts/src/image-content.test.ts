import { expect, test } from "vitest";
import { checkImageConfig } from "./image-content.js";

test.each([{}, { Labels: null }, { Labels: { maintainer: "somebody" } }])(
	"an image that isn't Berth's is said to be that: %j",
	(config) => {
		const bytes = Buffer.from(JSON.stringify({ architecture: "amd64", os: "linux", config, rootfs: { type: "layers", diff_ids: [] } }));
		expect(checkImageConfig(bytes)).toMatchObject({
			wrong: expect.stringContaining("Berth didn't build this image; `berth deploy --image` runs it"),
		});
	},
);
