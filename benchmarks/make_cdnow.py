"""Makes the demand data that elman ships from the public CDNOW transactions: `python benchmarks/make_cdnow.py FILE`.

FILE is CDNOW_master.txt(.gz): customer, date, CDs, dollars. Customers are put into nine segments, by the month of their
first purchase and by how many CDs they bought in it; a row is what a segment bought on a day. The first quarter, in
which the customers were collected, is left out: there sales are first purchases by construction.
"""

import sys
from pathlib import Path

import pandas as pd

TARGET = Path(__file__).parents[1] / "src" / "elman" / "data" / "shipped" / "cdnow_daily.csv"


def main(source: str) -> None:
    names = ["customer", "date", "cds", "dollars"]
    sales = pd.read_csv(source, sep=r"\s+", names=names, header=0, dtype={"customer": str, "date": str})
    sales["date"] = pd.to_datetime(sales["date"], format="%Y%m%d")
    by_customer = sales.sort_values("date", kind="stable").groupby("customer").first()
    month = by_customer["date"].dt.strftime("%b")
    size = pd.Series(pd.cut(by_customer["cds"], [0, 1, 3, 999], labels=["1 CD", "2-3 CDs", "4+ CDs"]))
    sales["segment"] = sales["customer"].map(month.str.cat(size.astype(str), sep=" "))
    later = sales[sales["date"] >= "1997-04-01"]
    table = later.groupby(["segment", "date"])["cds"].sum().unstack("date", fill_value=0).stack()
    table.rename("cds").reset_index().to_csv(TARGET, index=False, date_format="%Y-%m-%d")


if __name__ == "__main__":
    main(sys.argv[1])
