import * as z from "zod";
import { conditionTree } from "./condition";
import { flagKey } from "./model";

/** A named, reusable audience: keys that are listed, and whoever a condition holds for. */

export const LISTED_MAX = 100_000;

const fields = {
	description: z.string().max(2_000).default(""),
	when: conditionTree.nullable().default(null).describe("members besides the listed keys; null: nobody"),
};

/** Listed keys go another way, and whoever sends them with the rest is told. */
const keys = z
	.unknown()
	.refine((given) => given === undefined, "listed keys are replaced by PUT /api/v1/segments/{key}/keys, as a whole")
	.optional()
	.describe("not here: PUT /api/v1/segments/{key}/keys");
export const segmentInput = z.strictObject({ key: flagKey, ...fields, keys });
export const segmentPatch = z.strictObject({
	description: fields.description.unwrap().optional(),
	when: fields.when.unwrap().optional(),
	keys,
});
/** As stored, without its listed keys. */
export const segment = z.object({ key: flagKey, ...fields });
export const listedKeys = z.array(z.string().min(1).max(1_000)).max(LISTED_MAX);

export type Segment = z.infer<typeof segment>;
