// The hook that has Node load the tests' harness is set by this one.
import "./harness.mjs";

export const { Cluster } = await import("../../test/harness/cluster.ts");
export const { Stack } = await import("../../test/harness/stack.ts");
export const { takeKeptBases } = await import("../../test/harness/kept-bases.ts");
