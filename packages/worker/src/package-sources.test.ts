import type { PackageRegistryAccess } from "@berth/registry";
import { expect, test } from "vitest";
import { packageSourcesOf } from "./package-sources.js";

const HOST = "packages.example";
const ACCESS = { host: HOST, scopes: ["@team"], authorization: () => "Bearer x" } as PackageRegistryAccess;
const [ALL, OWN] = [`https://${HOST}/all/`, `https://${HOST}/team/`];

test.each(["python", "node"] as const)(
	"%s: what is listed on the host of the default registry is one more, with the host's login",
	(language) => {
		const of = (...listed: readonly string[]) =>
			packageSourcesOf("one", language, [ACCESS], { npmRegistry: ALL, pypiIndex: ALL, packageRegistries: listed, pypiIndexes: listed });
		expect(of(OWN).registries).toEqual([
			{ url: ALL, scopes: [] },
			{ url: OWN, scopes: ["@team"] },
		]);
		expect([...of(OWN).logins.keys()]).toEqual([`https://${HOST}`]);
		expect(of(ALL).registries).toEqual([{ url: ALL, scopes: [] }]);
	},
);
