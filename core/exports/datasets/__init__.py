"""Dataset export: COCO, Pascal VOC, YOLO, SBD and TFRecord, one module per format."""
