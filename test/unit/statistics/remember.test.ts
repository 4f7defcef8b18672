import { expect, test } from "vitest";
import { remember } from "../../../core/statistics/remember";

test("what is asked again is not computed again", () => {
	const asked: number[] = [];
	const square = remember((x) => {
		asked.push(x);
		return [x * x];
	});
	expect([2, 2, 3, 2, 3].map((x) => square(x)[0])).toEqual([4, 4, 9, 4, 9]);
	expect(asked).toEqual([2, 3]);
});

test("any number of arguments is answered, and few are kept", () => {
	let computed = 0;
	const square = remember((x) => {
		computed++;
		return [x * x];
	});
	for (let round = 0; round < 2; round++) for (let x = 0; x < 5_000; x++) expect(square(x)[0]).toBe(x * x);
	expect(computed).toBe(10_000);
});

test("what throws throws again", () => {
	const refuse = remember((x): number[] => {
		throw new RangeError(`${x}`);
	});
	for (let round = 0; round < 2; round++) expect(() => refuse(1)).toThrow(RangeError);
});
