import * as z from "zod";
import { aDuration, durationMs } from "./duration";

/** How people write a duration, in plans as in commands. */
export const duration = z.string(aDuration).refine((text) => durationMs(text) !== undefined, aDuration);
