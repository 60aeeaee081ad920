export type { HeaderPairs, SignedDelivery, Verdict, Verified } from "./delivery.js";
export type { Circumstances, Message, Scheme, SchemeSettings } from "./scheme.js";
export { SCHEME_NAMES, type SchemeName, schemeOf, verifyDelivery } from "./schemes.js";
