"""The course's training in Keras: a frozen Xception, pooled, and a dense layer of 10 classes.

    python frozen.py DATA WEIGHTS.safetensors STEPS VALIDATION_STEPS [--augment]

It does so many steps of an epoch and of its validation as the notebook does, with batches of
32 from a generator over the folder, and prints their seconds as JSON: of a step and of a
validation step, without the first, which compiles. Pictures are 150 × 150, by Pillow's nearest
resize, as load_img does; --augment is shear 10, zoom 0.1 and horizontal flip.
"""

import json
import os
import sys
import time

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def main():
    import keras
    import numpy as np
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    import worker

    data, weights, steps, validation_steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    change = dict(shear_range=10, zoom_range=0.1, horizontal_flip=True) if "--augment" in sys.argv else {}
    scale = keras.applications.xception.preprocess_input
    folder = dict(target_size=(150, 150), batch_size=32)
    train = ImageDataGenerator(preprocessing_function=scale, **change).flow_from_directory(os.path.join(data, "train"), **folder)
    validation = ImageDataGenerator(preprocessing_function=scale).flow_from_directory(os.path.join(data, "validation"), shuffle=False, **folder)
    base = keras.applications.Xception(weights=None, include_top=False, input_shape=(150, 150, 3))
    worker.load_keras_xception(base, worker.read_weights(weights))
    base.trainable = False
    inputs = keras.Input((150, 150, 3))
    vectors = keras.layers.GlobalAveragePooling2D()(base(inputs, training=False))
    model = keras.Model(inputs, keras.layers.Dense(10)(vectors))
    model.compile(keras.optimizers.Adam(0.001), keras.losses.CategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    seconds = {}
    for name, batches, do, n in (("step", train, model.train_on_batch, steps), ("validation_step", validation, model.test_on_batch, validation_steps)):
        times = []
        for _ in range(n + 1):
            start = time.perf_counter()
            x, y = next(batches)
            do(np.asarray(x), np.asarray(y))
            times.append(time.perf_counter() - start)
        seconds[name] = float(np.mean(times[1:]))
    print(json.dumps(seconds | {"name": f"Keras {keras.__version__}"}), file=out, flush=True)


if __name__ == "__main__":
    main()
