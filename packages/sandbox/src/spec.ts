/** What the launcher needs of this package: the container, as a pure function. */
export * from "./container-spec.js";
export { UidRanges } from "./uid-ranges.js";
