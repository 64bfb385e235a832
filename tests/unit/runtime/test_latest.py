import asyncio

from vmagent.runtime.latest import Latest


async def test_a_slow_reader_sees_the_newest_value_and_skips_what_it_missed() -> None:
    cell: Latest[int] = Latest()
    seen: list[int] = []

    async def read() -> None:
        async for value in cell.changes():
            seen.append(value)
            if value == 4:
                return

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        await asyncio.sleep(0)
        cell.publish(1)
        cell.publish(2)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        cell.publish(4)
    assert seen == [2, 4]


async def test_first_waits_for_the_first_value_and_later_ones_are_there_at_once() -> None:
    cell: Latest[str] = Latest()
    assert cell.value is None
    asyncio.get_running_loop().call_soon(cell.publish, "certificate")
    assert await cell.first() == "certificate"
    assert cell.value == await cell.first()
