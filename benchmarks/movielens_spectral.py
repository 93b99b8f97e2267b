"""Spectral regularization with biases on MovieLens latest-small, certified, without a dense table.

    CONTENT_TABLE_DATA=... python benchmarks/movielens_spectral.py   # under a minute on two cores

Per-user time split; lambda is chosen on the validation part, the test part is read once. Writes
results/movielens_spectral.json.
"""

import time

from common import describe, machine, real_data, write_results

import content_table as ct

GRID = (6.0, 8.0, 10.0, 12.0, 15.0, 20.0)
TOL = 1e-4


def main():
    folder = real_data("ml-latest-small")
    ratings = ct.load_ratings(folder)
    train, validation, test = ratings.split_user_time()
    candidates = [ct.SpectralRegularization(reg=reg, biases=True, bias_reg=5, tol=TOL) for reg in GRID]
    candidates[0].fit(train.part(slice(0, 1000)))  # compile before the clock starts
    rows, fitted = [], []
    for model in candidates:
        start = time.perf_counter()
        fitted.append(model.fit(train))
        seconds = time.perf_counter() - start
        row = {"reg": model.reg, "seconds": round(seconds, 1), "rank": len(model.s_)}
        row |= {"relative_gap": f"{model.certificate().relative_gap:.0e}", "proven": model.certificate().proven}
        row |= {"train_rmse": round(ct.rmse(model, train), 4), "validation_rmse": round(ct.rmse(model, validation), 4)}
        rows.append(row)
        print(row)
    best = min(fitted, key=lambda model: ct.rmse(model, validation, clip=True))
    baseline = ct.BiasBaseline(reg=5).fit(train)
    chosen = {"reg": best.reg, "test_rmse": round(ct.rmse(best, test), 4)}
    cold = int(best.predict_cells(test.rows, test.cols, return_fallback=True)[1].sum())
    chosen |= {"test_rmse_clipped": round(ct.rmse(best, test, clip=True), 4), "cold_test_cells": cold}
    chosen |= {"baseline_test_rmse": round(ct.rmse(baseline, test), 4)}
    print("chosen on the validation part:", chosen)
    data = describe(ratings, folder / "ratings.csv")
    data |= {"parts": [len(train), len(validation), len(test)]}
    data |= {"training_sparsity": round(1 - train.density, 6), "training_mean": round(float(train.values.mean()), 4)}
    settings = {"command": "python benchmarks/movielens_spectral.py", "tol": TOL, "bias_reg": 5, "machine": machine()}
    write_results("movielens_spectral.json", {"settings": settings, "data": data, "path": rows, "chosen": chosen})


if __name__ == "__main__":
    main()
