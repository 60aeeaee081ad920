import * as z from "zod";
import { NAME_PATTERN, NAME_RULE } from "./ids.js";

/** The name of a network, a volume or a bind mount. */
export const resourceName = z.string(NAME_RULE).regex(NAME_PATTERN, NAME_RULE);
