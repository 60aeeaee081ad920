import { registerHooks } from "node:module";

// The harness of the tests is TypeScript, which Node runs; that `./x.js` is written where there is `./x.ts`, it doesn't know.
registerHooks({
	resolve: (specifier, context, next) =>
		next(context.parentURL?.endsWith(".ts") && /^\.\.?\/.*\.js$/.test(specifier) ? specifier.replace(/\.js$/, ".ts") : specifier, context),
});

export const { PackageRegistry, sourceWith } = await import("../../test/harness/package-registry.ts");
export const { tarGz } = await import("../../test/harness/archives.ts");
