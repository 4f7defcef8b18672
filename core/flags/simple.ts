import * as z from "zod";
import type { Condition } from "./condition";
import { BUCKETS } from "./bucket";
import type { Flag, FieldError } from "./model";
import { bucketsOf } from "./snapshot";

/** The simple format of a flag, as many home-made systems keep them: a boolean with a status. */

const KEYS_A_TARGET = 1_000;
const scalar = z.union([z.boolean(), z.string().max(1_000), z.number()]);
const text = z.string().min(1).max(1_000);

/** A record drops `__proto__`, and a condition that is dropped would serve other users. */
const conditions = z
	.unknown()
	.refine((given) => typeof given !== "object" || given === null || !Object.hasOwn(given, "__proto__"), "__proto__ is no attribute")
	.pipe(
		z
			.record(z.string().min(1).max(200), z.union([scalar, z.array(scalar).min(1).max(1_000)]))
			.refine((given) => Object.keys(given).length <= 50, "names more than 50 attributes"),
	);

export const simpleFlag = z
	.strictObject({
		name: z.string().min(1).max(200),
		status: z.enum(["percentage", "enabled", "disabled"]),
		rollout_percentage: z
			.number()
			.min(0)
			.max(100)
			.refine((percent) => Math.abs(percent * 1_000 - Math.round(percent * 1_000)) < 1e-6, "has more than 3 decimals")
			.optional(),
		enabled_users: z
			.array(text)
			.max(50 * KEYS_A_TARGET)
			.optional(),
		enabled_groups: z.array(text).max(1_000).optional(),
		conditions: conditions.optional(),
	})
	.superRefine((given, context) => {
		if (given.status === "percentage" && given.rollout_percentage === undefined)
			context.addIssue({ code: "custom", path: ["rollout_percentage"], message: 'is required: the status is "percentage"' });
	});
export type SimpleFlag = z.infer<typeof simpleFlag>;

/** For the API's description. */
export const SIMPLE_MAPPING = [
	"`name`: the key, in lower case, blanks as `-`; what then is no key is refused",
	"`status`: `enabled` falls through to true, `percentage` to a split by `rollout_percentage` (0 and 100 to one variant), `disabled` kills the flag",
	"`enabled_users`: targets that get true, whatever the rest says",
	"`enabled_groups`: a rule that serves true where the attribute `group` is one of them",
	"`conditions`, attribute → value or values: all must equal, or be among, them; who does not fit gets false, the others what the status says",
	"unknown fields are refused; what the format has no word for (salt, tags, owner…) stays as it is on a flag that exists",
].join("; ");

/** As near a key as a name may be made without becoming another's. */
export function keyOfName(name: string): string {
	return name.trim().toLowerCase().replaceAll(/\s+/g, "-");
}

/** The fields that the simple format decides. */
export function fromSimple(given: SimpleFlag): Pick<Flag, "type" | "enabled" | "targets" | "rules" | "fallthrough"> {
	const users = [...new Set(given.enabled_users ?? [])];
	const groups = [...new Set(given.enabled_groups ?? [])];
	const all = Object.entries(given.conditions ?? {}).map(([attribute, wanted]): Condition => {
		const values = Array.isArray(wanted) ? wanted : [wanted];
		return { attribute, op: Array.isArray(wanted) ? "in" : "equals", values };
	});
	const serve = servedBy(given);
	const targets: Flag["targets"] = [];
	for (let i = 0; i < users.length; i += KEYS_A_TARGET) targets.push({ variant: "true", keys: users.slice(i, i + KEYS_A_TARGET) });
	const rules: Flag["rules"] = [];
	if (groups.length > 0)
		rules.push({ id: "enabled_groups", description: "", when: { attribute: "group", op: "in", values: groups }, serve: "true" });
	if (all.length > 0) rules.push({ id: "conditions", description: "", when: { all }, serve });
	return { type: "boolean", enabled: given.status !== "disabled", targets, rules, fallthrough: all.length > 0 ? "false" : serve };
}

/** A disabled flag serves nobody when it is enabled again: whoever does it says what. */
function servedBy({ status, rollout_percentage: percent = 0 }: SimpleFlag): Flag["fallthrough"] {
	const buckets = status === "enabled" ? BUCKETS : status === "disabled" ? 0 : bucketsOf(percent);
	if (buckets === BUCKETS) return "true";
	if (buckets === 0) return "false";
	return [
		{ variant: "true", weight: buckets },
		{ variant: "false", weight: BUCKETS - buckets },
	];
}

/** Why the simple format cannot say what an existing flag is to become. */
export function unlikeSimple(existing: Flag): readonly FieldError[] {
	const { type, variants } = existing;
	if (type === "boolean" && variants["true"] === true && variants["false"] === false) return [];
	const has = type === "boolean" ? "without the variants true and false" : `of type ${type}`;
	return [{ pointer: "/name", message: `flag ${existing.key} exists, ${has}: the simple format has only true and false` }];
}
