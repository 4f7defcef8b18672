import { expect, test } from "vitest";
import { checksIn, place, placeSegment, worldOf } from "../../../../control/store/references";
import { aFlag, aSegment } from "../../../unit/flags/fixtures";

class CountingMap<T> extends Map<string, T> {
	lookUps = 0;
	override get(key: string): T | undefined {
		this.lookUps++;
		return super.get(key);
	}
}

const requires = (...flags: string[]) => ({ prerequisites: flags.map((flag) => ({ flag, variants: ["true"] })) });
/** f0 requires f1, f1 requires f2, and so on; every `length` flags the chain ends. */
const chained = (count: number, length: number) =>
	Array.from({ length: count }, (_, i) => aFlag({ key: `f${i}`, ...(i % length === length - 1 ? {} : requires(`f${i + 1}`)) }));
const nested = (count: number, length: number) =>
	Array.from(
		{ length: count },
		(_, i) => aSegment({ key: `s${i}`, when: i % length === length - 1 ? null : { segment: `s${i + 1}` } }).segment,
	);

function counted(count: number) {
	const world = { environment: "production", flags: new CountingMap<never>(), segments: new CountingMap<never>(), routes: [] };
	const [flags, segments] = [chained(count, 10), nested(count, 10)];
	for (const flag of flags) place(world, flag);
	for (const segment of segments) placeSegment(world, segment);
	return { world, flags, segments, checks: checksIn(world) };
}

test("however many flags and segments are checked, the edges of each are looked up once", () => {
	const { world, flags, segments, checks } = counted(5_000);
	for (const flag of flags.slice(0, 1_000)) expect(checks.flagErrors(flag)).toEqual([]);
	for (const segment of segments.slice(0, 1_000)) expect(checks.segmentErrors(segment)).toEqual([]);
	// Besides, each prerequisite of those that are checked is looked at for its variants.
	expect(world.flags.lookUps).toBeLessThanOrEqual(5_000 + 1_000);
	expect(world.segments.lookUps).toBeLessThanOrEqual(5_000);
});

test("a flag without prerequisites, and a segment without a condition, look up nothing", () => {
	const { world, checks } = counted(50);
	expect(checks.flagErrors(aFlag({ key: "f9" }))).toEqual([]);
	expect(checks.segmentErrors(aSegment({ key: "s9" }).segment)).toEqual([]);
	expect([world.flags.lookUps, world.segments.lookUps]).toEqual([0, 0]);
});

test("a chain that is too long is told of those on it, and of nobody beside it", () => {
	const world = worldOf("production", [], [], []);
	const flags = [...chained(12, 12), aFlag({ key: "onto", ...requires("f5") }), aFlag({ key: "beside", ...requires("f11") })];
	const segments = [...nested(17, 17), aSegment({ key: "onto", when: { segment: "s5" } }).segment];
	for (const flag of flags) place(world, flag);
	for (const segment of segments) placeSegment(world, segment);
	const checks = checksIn(world);
	const errorsOf = Object.fromEntries(flags.map((flag) => [flag.key, checks.flagErrors(flag)]));
	const tooLong = [{ pointer: "/prerequisites", message: "makes a chain of 11 prerequisites > limit 10" }];
	expect(errorsOf).toMatchObject({ f0: tooLong, f5: tooLong, f10: tooLong, f11: [], onto: [], beside: [] });
	const segmentErrorsOf = Object.fromEntries(segments.map((segment) => [segment.key, checks.segmentErrors(segment)]));
	const tooDeep = [{ pointer: "/when", message: "nests segments 17 deep > limit 16" }];
	expect(segmentErrorsOf).toMatchObject({ s0: tooDeep, s8: tooDeep, s15: tooDeep, onto: [] });
});

test("a cycle is told of those on it, and of nobody who leads to it or is led to", () => {
	const world = worldOf("production", [], [], []);
	const flags = [
		aFlag({ key: "to", ...requires("a") }),
		aFlag({ key: "a", ...requires("b") }),
		aFlag({ key: "b", ...requires("a", "from") }),
		aFlag({ key: "from", ...requires("end") }),
		aFlag({ key: "end" }),
	];
	for (const flag of flags) place(world, flag);
	const checks = checksIn(world);
	expect(flags.map((flag) => checks.flagErrors(flag).map(({ message }) => message))).toEqual([
		[],
		["is a cycle: a → b → a"],
		["is a cycle: b → a → b"],
		[],
		[],
	]);
});

test("a cycle of a thousand flags is told each of them, in part", () => {
	const { world, flags, checks } = counted(1_000);
	const ring = flags.map((flag, i) => ({ ...flag, ...requires(`f${(i + 1) % 1_000}`) }));
	for (const flag of ring) place(world, flag);
	const messages = ring.map((flag) => checks.flagErrors(flag)[0]?.message ?? "");
	expect(messages[7]).toMatch(/^is a cycle of 1000: f7 → f8 → .* → f16 → … → f998 → .* → f6 → f7$/);
	for (const message of messages) expect(message.length).toBeLessThan(300);
});
