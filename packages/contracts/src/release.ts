/** The version of Berth that this is; what package.json says. */
export const RELEASE = "0.1.0";
