import * as z from "zod";
import { durationMs } from "./duration";

/** How people write a duration, in plans as in commands. */
export const duration = z.string().refine((text) => durationMs(text) !== undefined, 'is no duration: write "90s", "5m", "2h" or "3d"');
