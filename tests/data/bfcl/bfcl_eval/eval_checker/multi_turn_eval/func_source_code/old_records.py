OLD_RECORDS = [f"{year}: the mill stood still" for year in range(1600, 1900)]
