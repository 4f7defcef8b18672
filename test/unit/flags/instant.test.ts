import * as fc from "fast-check";
import { expect, test } from "vitest";
import { parseInstant } from "../../../core/flags/instant";
import { instantOf } from "./reference";

const two = (value: number): string => String(value).padStart(2, "0");
const field = (max: number) => fc.oneof({ weight: 8, arbitrary: fc.nat({ max }) }, fc.constantFrom(max, max + 1, 60, 99));

/** Most are times; fields just beyond their limits are none. */
const aTime = fc
	.record({
		year: fc.oneof(fc.integer({ min: 1_900, max: 2_100 }), fc.nat({ max: 9_999 }), fc.constantFrom(1_600, 1_900, 2_000, 2_024)),
		month: field(12),
		day: fc.oneof(fc.integer({ min: 1, max: 28 }), fc.nat({ max: 32 })),
		hour: field(23),
		minute: field(59),
		second: field(59),
		fraction: fc.oneof(fc.constant(""), fc.stringMatching(/^\.[0-9]{1,9}$/)),
		zone: fc.oneof(
			fc.constantFrom("Z", "z", "+00:00", "-00:00", "+24:00", "+01:60"),
			fc.tuple(fc.constantFrom("+", "-"), fc.nat({ max: 23 }), fc.nat({ max: 59 })).map(([sign, h, m]) => `${sign}${two(h)}:${two(m)}`),
		),
		separator: fc.constantFrom("T", "t", " "),
	})
	.map(
		({ year, month, day, hour, minute, second, fraction, zone, separator }) =>
			`${String(year).padStart(4, "0")}-${two(month)}-${two(day)}${separator}${two(hour)}:${two(minute)}:${two(second)}${fraction}${zone}`,
	);

test("a time of RFC 3339 is the instant that Date.parse gives it", () => {
	let valid = 0;
	fc.assert(
		fc.property(aTime, (text) => {
			const expected = instantOf(text);
			valid += Number(!Number.isNaN(expected));
			expect(parseInstant(text) ?? Number.NaN, text).toBe(expected);
		}),
		{ numRuns: 5_000 },
	);
	expect(valid).toBeGreaterThan(1_000);
});

test("every day of 800 years is where Date puts it", () => {
	const wrong: number[] = [];
	for (let at = Date.UTC(1_600, 0, 1); at < Date.UTC(2_400, 0, 1); at += 86_400_000)
		if (parseInstant(new Date(at).toISOString()) !== at) wrong.push(at);
	expect(wrong).toEqual([]);
});

test("every thousandth of a second is whole, and finer digits are dropped", () => {
	for (let ms = 0; ms < 1_000; ms++) {
		const digits = String(ms).padStart(3, "0");
		expect(parseInstant(`1970-01-01T00:00:00.${digits}Z`)).toBe(ms);
		expect(parseInstant(`1970-01-01T00:00:00.${digits}999999Z`)).toBe(ms);
	}
});

test.each<[string, number]>([
	["1970-01-01T00:00:00Z", 0],
	["1969-12-31T23:59:59.999Z", -1],
	["2024-02-29T00:00:00Z", 1_709_164_800_000],
	["2000-02-29T12:00:00+12:00", 951_782_400_000],
	["2016-12-31T23:59:60Z", 1_483_228_800_000],
	["2026-01-31T12:00:00-00:30", 1_769_862_600_000],
	["0000-01-01T00:00:00Z", -62_167_219_200_000],
	["9999-12-31T23:59:59.999999999Z", 253_402_300_799_999],
])("%s is %i", (text, atMs) => expect(parseInstant(text)).toBe(atMs));

test.each([
	["no zone: a local time is no instant", "2026-01-31T12:00:00"],
	["a day alone", "2026-01-31"],
	["the 29th of February in another year", "2026-02-29T00:00:00Z"],
	["the 29th of February of 1900", "1900-02-29T00:00:00Z"],
	["the 31st of April", "2026-04-31T00:00:00Z"],
	["the 13th month", "2026-13-01T00:00:00Z"],
	["the month 0", "2026-00-01T00:00:00Z"],
	["the day 0", "2026-01-00T00:00:00Z"],
	["hour 24", "2026-01-31T24:00:00Z"],
	["minute 60", "2026-01-31T12:60:00Z"],
	["second 61", "2026-01-31T12:00:61Z"],
	["no seconds", "2026-01-31T12:00Z"],
	["a comma", "2026-01-31T12:00:00,5Z"],
	["a point without digits", "2026-01-31T12:00:00.Z"],
	["ten digits of a second", "2026-01-31T12:00:00.1234567890Z"],
	["an offset without a colon", "2026-01-31T12:00:00+0100"],
	["an offset of 24 hours", "2026-01-31T12:00:00+24:00"],
	["a year of five digits", "12026-01-31T12:00:00Z"],
	["a negative year", "-2026-01-31T12:00:00Z"],
	["a name of a zone", "2026-01-31T12:00:00 UTC"],
	["a blank after it", "2026-01-31T12:00:00Z "],
	["a newline after it", "2026-01-31T12:00:00Z\n"],
	["digits of another script", "٢٠٢٦-01-31T12:00:00Z"],
	["milliseconds since 1970", "1769860800000"],
	["nothing", ""],
])("no time: %s", (_, text) => expect(parseInstant(text)).toBeUndefined());
