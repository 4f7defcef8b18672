import { seeded } from "./stats.mjs";

const COUNTRIES = ["CH", "DE", "FR", "IT", "US", "GB", "JP", "BR", "IN", "CA"];
const PLANS = ["free", "pro", "team", "enterprise"];
const DEVICES = ["phone", "tablet", "desktop"];
const CHANNELS = ["stable", "beta", "canary"];
const VALUES = { country: COUNTRIES, plan: PLANS, device: DEVICES, channel: CHANNELS };

const draw = (random, from) => from[Math.floor(random() * from.length)];

/**
 * Flags as teams have them: 60 % boolean, 40 % texts of three variants; 60 % with one to three rules, a rule in four splits;
 * of the fallthroughs three in ten split; a few are off. The same in every run.
 */
export function someFlags(count) {
	const random = seeded(42);
	return Array.from({ length: count }, (_, i) => {
		const isBoolean = random() < 0.6;
		const variants = isBoolean
			? { true: true, false: false }
			: { control: `layout-a-${i}`, compact: `layout-b-${i}`, wide: `layout-c-${i}` };
		const names = Object.keys(variants);
		const rules = random() < 0.6 ? 1 + Math.floor(random() * 3) : 0;
		return {
			key: `team_${i % 20}.feature_${String(i).padStart(5, "0")}`,
			type: isBoolean ? "boolean" : "string",
			variants,
			enabled: random() >= 0.03,
			offVariant: isBoolean ? "false" : "control",
			rules: Array.from({ length: rules }, (__, r) => ({
				id: `rule-${r}`,
				when: someCondition(random),
				serve: someServe(random, names, 0.25),
			})),
			fallthrough: someServe(random, names, 0.3),
		};
	});
}

function someCondition(random) {
	const attribute = draw(random, Object.keys(VALUES));
	const values = VALUES[attribute];
	if (random() < 0.5) return { attribute, op: "equals", values: [draw(random, values)] };
	const from = Math.floor(random() * values.length);
	return { attribute, op: "in", values: values.slice(from, from + 1 + Math.floor(random() * 4)) };
}

function someServe(random, names, splitShare) {
	if (random() >= splitShare) return draw(random, names);
	if (names.length === 2)
		return [
			{ variant: names[0], weight: 20_000 },
			{ variant: names[1], weight: 80_000 },
		];
	return names.map((variant, i) => ({ variant, weight: [50_000, 30_000, 20_000][i] }));
}

/** Users: an opaque key, and attributes of which any may be missing. */
export function someContexts(count) {
	const random = seeded(7);
	return Array.from({ length: count }, (_, i) => {
		const context = { targetingKey: `user-${(i * 7_919).toString(36)}-${Math.floor(random() * 1e9).toString(36)}` };
		for (const [attribute, values] of Object.entries(VALUES)) if (random() < 0.9) context[attribute] = draw(random, values);
		if (random() < 0.5) context.email = `person${i}@example.com`;
		context.age = 18 + Math.floor(random() * 60);
		return context;
	});
}
